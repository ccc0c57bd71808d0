# Executes ud2: #UD, SIGILL.
.include "fault.inc"

_start: ud2
        exit    SURVIVED
