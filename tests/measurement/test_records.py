"""What is kept of each file comes back as it was, however little room it takes."""

from __future__ import annotations

import pickle
from array import array

from pytest_coveralls_submit.measurement.records import FileCoverage, PackedFiles

FILES = {
    name: FileCoverage(name, array("i", executed), array("i", missing), branches)
    for name, executed, missing, branches in (
        ("/a.py", [1, 2, 70_000], [3], array("i", [1, 1, 1, 0])),
        ("/lines.py", [1], [], None),
        ("/empty.py", [], [], array("i")),
    )
}


def test_packed_files_are_what_was_put_there() -> None:
    """Measured without branches is not the same as with none; so is what another process packed."""
    packed = PackedFiles()
    packed.update(FILES)

    assert dict(packed) == dict(pickle.loads(pickle.dumps(packed))) == FILES


def test_a_file_may_be_analysed_anew_or_dropped() -> None:
    """The last analysis counts; a name that is gone is gone."""
    packed = PackedFiles()
    packed.update(FILES)
    again = FileCoverage("/a.py", array("i"), array("i", [9]), None)
    packed["/a.py"] = again
    del packed["/empty.py"]

    assert dict(packed) == {"/a.py": again, "/lines.py": FILES["/lines.py"]}
