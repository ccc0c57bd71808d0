# Jumps to its stack, which is not executable.
.include "fault.inc"

_start: mov     dword ptr [rsp - 64], 0x90909090
        lea     rax, [rsp - 64]
        jmp     rax
