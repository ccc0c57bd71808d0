# Writes to a kernel address.
.include "fault.inc"

_start: mov     rax, KERNEL_IMAGE
        mov     qword ptr [rax], 1
        exit    SURVIVED
