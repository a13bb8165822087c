"""Results of other processes, with their arrays in memory that the processes share instead of going through a pipe."""

import ctypes
import pickle
import weakref
from itertools import accumulate
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple


class Packed(NamedTuple):
    """A result without the arrays that stand in a place, one behind the other."""

    rest: bytes
    sizes: list[int]  # of those arrays, in bytes


class Places:
    """Places in shared memory, each for one result and taken until the arrays of that result are gone.

    The memory is a file without a name, in /dev/shm if there is enough space, else in the folder for temporary files.
    So it goes with the last process that has it, however that one ends.
    """

    def __init__(self, context: BaseContext, count: int, room: int) -> None:
        self.memory = context.RawArray(ctypes.c_ubyte, count * room)
        self._piece: Any = type("Piece", (ctypes.Array,), {"_type_": ctypes.c_ubyte, "_length_": room})
        self._free = [k * room for k in range(count)] if room else []
        self._room = room

    def take(self) -> slice:
        """Bytes of a free place; of none, if none is free."""
        if not self._free:
            return slice(0, 0)
        start = self._free.pop()
        return slice(start, start + self._room)

    def unpack(self, packed: Packed, place: slice) -> Any:
        """Make of it what `pack` was given; its arrays are no copies, but the place itself."""
        view = memoryview(b"")
        if place.start < place.stop:
            piece = self._piece.from_buffer(self.memory, place.start)  # all arrays in the place refer to it
            weakref.finalize(piece, self._free.append, place.start)
            view = memoryview(piece).cast("B")
        arrays = [view[end - size : end] for end, size in zip(accumulate(packed.sizes), packed.sizes, strict=True)]
        return pickle.loads(packed.rest, buffers=arrays)  # noqa: S301 from a process of our own


def pack(result: object, place: memoryview) -> Packed:
    """Copy the arrays of a result into a place; those for which there is no room stay with the rest."""
    sizes: list[int] = []

    def stays(array: pickle.PickleBuffer) -> bool:
        raw, start = array.raw(), sum(sizes)
        if start + raw.nbytes > len(place):
            return True
        place[start : start + raw.nbytes] = raw
        sizes.append(raw.nbytes)
        return False

    return Packed(pickle.dumps(result, protocol=5, buffer_callback=stays), sizes)
