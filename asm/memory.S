# Comparing memory, which the compiler calls by this name for slices that are compared: names above all, which are short.
# The one that comes with the compiler takes four times as many instructions for those.
#
# Owner: machine::mm.

.section .text.memory, "ax"
# memcmp(a, b, len) -> negative, 0 or positive; by words, then by what is left: four bytes, two, one
.balign 16
.global memcmp
memcmp:
1:  sub rdx, 8
    jb 2f
    mov rax, [rdi]
    mov rcx, [rsi]
    add rdi, 8
    add rsi, 8
    cmp rax, rcx
    je 1b
    bswap rax                   # the first byte that differs is the highest now
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
2:  test dl, 4
    jz 3f
    mov eax, [rdi]
    mov ecx, [rsi]
    add rdi, 4
    add rsi, 4
    cmp eax, ecx
    jne 5f
3:  test dl, 2
    jz 4f
    movzx eax, word ptr [rdi]
    movzx ecx, word ptr [rsi]
    add rdi, 2
    add rsi, 2
    cmp eax, ecx
    jne 6f
4:  xor eax, eax
    test dl, 1
    jz 7f
    movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    ret
5:  bswap eax
    bswap ecx
    cmp eax, ecx
    sbb eax, eax
    or eax, 1
    ret
6:  rol ax, 8
    rol cx, 8
    sub eax, ecx
7:  ret
.text
