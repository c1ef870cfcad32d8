"""Which GPUs a block of settings is for: by name, by UUID, by index."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from costmeter.readings import Device


@dataclass(frozen=True, slots=True)
class Match:
    """Patterns a GPU must fit, all that are given; none given fits every GPU.

    `name` and `uuid` are shell patterns without regard to case (`*H100*`, `GPU-5c1f*`); `indexes` are the driver's.
    """

    name: str | None = None
    uuid: str | None = None
    indexes: frozenset[int] | None = None

    def fits(self, device: Device) -> bool:
        """Whether the block is for this GPU."""
        return (
            (self.name is None or fnmatchcase(device.name.casefold(), self.name.casefold()))
            and (self.uuid is None or fnmatchcase(device.uuid.casefold(), self.uuid.casefold()))
            and (self.indexes is None or device.index in self.indexes)
        )


EVERY_GPU = Match()
