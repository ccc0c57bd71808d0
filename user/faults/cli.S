# Disables interrupts, a privileged instruction: #GP, SIGSEGV.
.include "fault.inc"

_start: cli
        exit    SURVIVED
