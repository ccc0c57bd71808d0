# Memory accesses that a user address may make fault.
#
# Each instruction that touches user memory has an entry (its address, where to go on) in .ex_table; the page-fault
# handler looks there when nothing could be mapped. The caller has checked that the range is user's and opened SMAP.
#
# Owner: machine::user::copy.

.macro MAY_FAULT at, then
    .pushsection .ex_table, "a"
    .quad \at, \then
    .popsection
.endm

.section .text.usercopy, "ax"
# user_copy(dst, src, len) -> bytes not copied
#
# By blocks of 64 bytes, then words, then bytes: a loop of plain moves is fast on every processor and in emulation, where
# string instructions are slow.
.balign 16
.global user_copy
user_copy:
    mov rcx, rdx
    shr rcx, 6
    jz 7f
5:
.irp at, 0, 16, 32, 48
6:  mov rax, [rsi + \at]
66: mov r8, [rsi + \at + 8]
67: mov [rdi + \at], rax
68: mov [rdi + \at + 8], r8
    MAY_FAULT 6b, 3f
    MAY_FAULT 66b, 3f
    MAY_FAULT 67b, 3f
    MAY_FAULT 68b, 3f
.endr
    add rsi, 64
    add rdi, 64
    sub rdx, 64
    dec rcx
    jnz 5b
7:  mov rcx, rdx
    shr rcx, 3
    jz 2f
6:  mov rax, [rsi]
66: mov [rdi], rax
    add rsi, 8
    add rdi, 8
    sub rdx, 8
    dec rcx
    jnz 6b
2:  test rdx, rdx
    jz 4f
3:  mov al, [rsi]
31: mov [rdi], al
    inc rsi
    inc rdi
    dec rdx
    jnz 3b
4:  mov rax, rdx
    ret
    # A fault within a block or a word: go on byte by byte from where that begins, up to the very byte that is not there.
    MAY_FAULT 6b, 3b
    MAY_FAULT 66b, 3b
    MAY_FAULT 3b, 4b
    MAY_FAULT 31b, 4b

# user_fill_zero(dst, len) -> bytes not written
.balign 16
.global user_fill_zero
user_fill_zero:
    xor eax, eax
    mov rcx, rsi
    shr rcx, 3
    jz 2f
6:  mov [rdi], rax
    add rdi, 8
    sub rsi, 8
    dec rcx
    jnz 6b
2:  test rsi, rsi
    jz 4f
3:  mov [rdi], al
    inc rdi
    dec rsi
    jnz 3b
4:  mov rax, rsi
    ret
    MAY_FAULT 6b, 3b
    MAY_FAULT 3b, 4b

# user_load_u32(src, out: *mut u32) -> 0, or 1 after a fault
.balign 16
.global user_load_u32
user_load_u32:
6:  mov eax, [rdi]
    mov [rsi], eax
    xor eax, eax
    ret
2:  mov eax, 1
    ret
    MAY_FAULT 6b, 2b

# user_cmpxchg_u32(dst, expected: *mut u32, new: u32) -> 0, or 1 after a fault; the value seen goes to *expected
.balign 16
.global user_cmpxchg_u32
user_cmpxchg_u32:
    mov eax, [rsi]
6:  lock cmpxchg [rdi], edx
    mov [rsi], eax
    xor eax, eax
    ret
2:  mov eax, 1
    ret
    MAY_FAULT 6b, 2b
.text
