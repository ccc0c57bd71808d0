# Halts the CPU, a privileged instruction.
.include "fault.inc"

_start: hlt
        exit    SURVIVED
