# Writes a control register, a privileged instruction.
.include "fault.inc"

_start: mov     rax, 0
        mov     cr0, rax
        exit    SURVIVED
