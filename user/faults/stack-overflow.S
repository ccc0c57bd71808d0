# Recurses for ever: the stack runs into what is not mapped.
.include "fault.inc"

_start: sub     rsp, 4096
        mov     qword ptr [rsp], 0
        call    _start
        exit    SURVIVED
