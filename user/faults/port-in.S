# Reads an I/O port without permission.
.include "fault.inc"

_start: mov     dx, 0x3fd
        in      al, dx
        exit    SURVIVED
