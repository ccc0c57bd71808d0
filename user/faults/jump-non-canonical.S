# Jumps to a non-canonical address: #GP, SIGSEGV.
.include "fault.inc"

_start: movabs  rax, NON_CANONICAL
        jmp     rax
