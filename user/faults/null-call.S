# Calls a null function pointer.
.include "fault.inc"

_start: xor     eax, eax
        call    rax
        exit    SURVIVED
