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
# Many words by a string instruction, which takes a while to begin; few by four, then one by one; then what is left of one.
.balign 16
.global user_copy
user_copy:
    cmp rdx, 128
    ja 7f
    cmp rdx, 32
    jb 2f
1:  mov rax, [rsi]
    MAY_FAULT 1b, 5f
6:  mov rcx, [rsi + 8]
    MAY_FAULT 6b, 5f
6:  mov r8, [rsi + 16]
    MAY_FAULT 6b, 5f
6:  mov r9, [rsi + 24]
    MAY_FAULT 6b, 5f
6:  mov [rdi], rax
    MAY_FAULT 6b, 5f
6:  mov [rdi + 8], rcx
    MAY_FAULT 6b, 5f
6:  mov [rdi + 16], r8
    MAY_FAULT 6b, 5f
6:  mov [rdi + 24], r9
    MAY_FAULT 6b, 5f
    add rsi, 32
    add rdi, 32
    sub rdx, 32
    cmp rdx, 32
    jae 1b
2:  cmp rdx, 8
    jb 3f
6:  mov rax, [rsi]
    MAY_FAULT 6b, 5f
6:  mov [rdi], rax
    MAY_FAULT 6b, 5f
    add rsi, 8
    add rdi, 8
    sub rdx, 8
    jmp 2b
3:  cmp rdx, 4
    jb 4f
6:  mov eax, [rsi]
    MAY_FAULT 6b, 5f
6:  mov [rdi], eax
    MAY_FAULT 6b, 5f
    sub rdx, 4
    jz 9f
    add rsi, 4
    add rdi, 4
4:  test rdx, rdx
    jz 9f
    # Also behind a fault within something longer: on from where that begins, up to the very byte that is not there.
5:  mov al, [rsi]
    MAY_FAULT 5b, 9f
6:  mov [rdi], al
    MAY_FAULT 6b, 9f
    inc rsi
    inc rdi
    dec rdx
    jnz 5b
9:  mov rax, rdx
    ret
7:  mov rcx, rdx
    shr rcx, 3
    and edx, 7
6:  rep movsq
    MAY_FAULT 6b, 8f
    jmp 3b
    # The words that are left.
8:  lea rdx, [rdx + rcx * 8]
    jmp 5b

# user_string(dst, src, len) -> bytes before the first zero, len if there is none, -1 after a fault
#
# By words while there is room for one. The word that has a zero shows it: a byte borrows in the subtraction, and had its
# highest bit clear before.
.balign 16
.global user_string
user_string:
    mov r11, rdi
    movabs r9, 0x0101010101010101
    movabs r10, 0x8080808080808080
1:  cmp rdx, 8
    jb 3f
6:  mov rax, [rsi]
    mov [rdi], rax
    mov rcx, rax
    not rcx
    sub rax, r9
    and rcx, r10
    and rcx, rax
    jnz 2f
    add rsi, 8
    add rdi, 8
    sub rdx, 8
    jmp 1b
2:  bsf rcx, rcx
    shr ecx, 3
    lea rax, [rdi + rcx]
    sub rax, r11
    ret
3:  test rdx, rdx
    jz 4f
31: mov al, [rsi]
    mov [rdi], al
    test al, al
    jz 4f
    inc rsi
    inc rdi
    dec rdx
    jmp 3b
4:  mov rax, rdi
    sub rax, r11
    ret
5:  mov rax, -1
    ret
    # A word may reach into a page that is not there though the string ends before it.
    MAY_FAULT 6b, 3b
    MAY_FAULT 31b, 5b

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

# user_save_fpu(at, xsave: bool, marks: *const [u64; 6], end_at, end: u32) -> 0, or 1 after a fault: the registers in the
# format of XSAVE or FXSAVE. XSAVE leaves the rest of its header alone, so that is cleared first. With XSAVE, `marks` are put
# where the CPU leaves room for software, and `end` at `at + end_at`.
.balign 16
.global user_save_fpu
user_save_fpu:
    test sil, sil
    jz 8f
    mov r9, rdx
    xor eax, eax
.irp at, 512, 520, 528, 536, 544, 552, 560, 568
6:  mov [rdi + \at], rax
    MAY_FAULT 6b, 9f
.endr
.irp at, 0, 8, 16, 24, 32, 40
    mov rax, [r9 + \at]
6:  mov [rdi + 464 + \at], rax
    MAY_FAULT 6b, 9f
.endr
6:  mov [rdi + rcx], r8d
    MAY_FAULT 6b, 9f
    mov eax, -1
    mov edx, eax
6:  xsave64 [rdi]
    MAY_FAULT 6b, 9f
    xor eax, eax
    ret
8:  fxsave64 [rdi]
    MAY_FAULT 8b, 9f
    xor eax, eax
    ret
9:  mov eax, 1
    ret

# user_load_fpu(at, xsave: bool) -> 0, or 1 after a fault, or where the image is none (#GP)
.balign 16
.global user_load_fpu
user_load_fpu:
    test sil, sil
    jz 8f
    mov eax, -1
    mov edx, eax
6:  xrstor64 [rdi]
    MAY_FAULT 6b, 9b
    xor eax, eax
    ret
8:  fxrstor64 [rdi]
    MAY_FAULT 8b, 9b
    xor eax, eax
    ret
.text
