# Sets the trap flag: #DB after the next instruction, SIGTRAP.
.include "fault.inc"

_start: pushfq
        or      qword ptr [rsp], 0x100
        popfq
        nop
        exit    SURVIVED
