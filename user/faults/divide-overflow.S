# Divides with a quotient that does not fit: #DE as well.
.include "fault.inc"

_start: mov     eax, 0x80000000
        cdq
        mov     ecx, -1
        idiv    ecx
        exit    SURVIVED
