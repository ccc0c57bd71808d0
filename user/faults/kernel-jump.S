# Jumps into the kernel image.
.include "fault.inc"

_start: mov     rax, KERNEL_IMAGE
        jmp     rax
