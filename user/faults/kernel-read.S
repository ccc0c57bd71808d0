# Reads a kernel address, in the map of physical memory.
.include "fault.inc"

_start: movabs  rax, PHYSICAL_MAP
        mov     rax, [rax]
        exit    SURVIVED
