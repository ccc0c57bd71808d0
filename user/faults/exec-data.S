# Jumps to data, which is not executable.
.include "fault.inc"

_start: lea     rax, [rip + data]
        jmp     rax
.data
data:   .byte   0x90, 0x90, 0xeb, 0xfe
