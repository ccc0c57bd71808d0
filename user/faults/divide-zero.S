# Divides by zero: #DE, SIGFPE.
.include "fault.inc"

_start: mov     eax, 1
        xor     edx, edx
        xor     ecx, ecx
        div     ecx
        exit    SURVIVED
