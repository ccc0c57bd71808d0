# The shared object that every program finds in its memory (vdso(7)): the time and the CPU without a system call.
#
# An ELF image of one page, written by hand so that nothing has to be linked for user space: headers, symbols with the
# version that Linux gives them, code, and at the end the data that the code reads. It is copied to a page of its own, which
# all programs map to read and execute; so its addresses are offsets, and the code addresses data relative to itself.
#
# Owner: machine::vdso.

.section .rodata.vdso, "a"
.balign 8
.global vdso_start
vdso_start:
    # ELF header.
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0
    .quad 0
    .word 3, 62                                     # ET_DYN, EM_X86_64
    .long 1
    .quad 0                                         # no entry
    .quad vdso_phdrs - vdso_start, 0
    .long 0
    .word 64, 56, 2, 64, 0, 0
vdso_phdrs:
    .long 1, 5                                      # PT_LOAD, readable and executable
    .quad 0, 0, 0, 4096, 4096, 4096
    .long 2, 4                                      # PT_DYNAMIC
    .quad vdso_dynamic - vdso_start, vdso_dynamic - vdso_start, vdso_dynamic - vdso_start
    .quad vdso_dynamic_end - vdso_dynamic, vdso_dynamic_end - vdso_dynamic, 8

.balign 8
vdso_dynamic:
    .quad 14, vdso_soname - vdso_strings            # DT_SONAME
    .quad 4, vdso_hash - vdso_start                 # DT_HASH
    .quad 5, vdso_strings - vdso_start              # DT_STRTAB
    .quad 10, vdso_strings_end - vdso_strings       # DT_STRSZ
    .quad 6, vdso_symbols - vdso_start              # DT_SYMTAB
    .quad 11, 24                                    # DT_SYMENT
    .quad 0x6ffffff0, vdso_versions - vdso_start    # DT_VERSYM
    .quad 0x6ffffffc, vdso_definitions - vdso_start # DT_VERDEF
    .quad 0x6ffffffd, 2                             # DT_VERDEFNUM
    .quad 0, 0
vdso_dynamic_end:

.macro SYMBOL name, binding
    .long vdso_name_\name - vdso_strings
    .byte \binding << 4 | 2, 0                      # STT_FUNC, STV_DEFAULT
    .word 1                                         # any section: there are none
    .quad vdso_do_\name - vdso_start, vdso_end_\name - vdso_do_\name
.endm
.balign 8
vdso_symbols:
    .quad 0, 0, 0
    SYMBOL clock_gettime, 1
    SYMBOL gettimeofday, 1
    SYMBOL time, 1
    SYMBOL getcpu, 1
    SYMBOL clock_getres, 1
.set VDSO_SYMBOLS, 6

    # One bucket with all of them.
.balign 4
vdso_hash:
    .long 1, VDSO_SYMBOLS, 1
    .long 0, 2, 3, 4, 5, 0

.balign 2
vdso_versions:
    .word 0, 2, 2, 2, 2, 2

.balign 4
vdso_definitions:
    .word 1, 1, 1, 1                                # the object itself
    .long 0x0deebfa1
    .long 20, 28
    .long vdso_soname - vdso_strings, 0
    .word 1, 0, 2, 1
    .long 0x03ae75f6
    .long 20, 0
    .long vdso_version - vdso_strings, 0

vdso_strings:
    .byte 0
vdso_soname: .asciz "linux-vdso.so.1"
vdso_version: .asciz "LINUX_2.6"
vdso_name_clock_gettime: .asciz "__vdso_clock_gettime"
vdso_name_gettimeofday: .asciz "__vdso_gettimeofday"
vdso_name_time: .asciz "__vdso_time"
vdso_name_getcpu: .asciz "__vdso_getcpu"
vdso_name_clock_getres: .asciz "__vdso_clock_getres"
vdso_strings_end:

# Nanoseconds since boot to rax. Changes rcx, rdx and r8, in which the count of changes of the data is: where it has changed
# behind the caller's back, the caller begins again.
.macro SINCE_BOOT
101:
    mov r8d, [rip + vdso_sequence]
    test r8d, 1
    jz 102f
    pause
    jmp 101b
102:
    lfence                                          # the counter is not read before what comes first
    rdtsc
    shl rdx, 32
    or rax, rdx
    xor ecx, ecx
    sub rax, [rip + vdso_boot_ticks]
    cmovb rax, rcx
    mul qword ptr [rip + vdso_ns_per_tick]
    shrd rax, rdx, 32
.endm

# As above, since 1970.
.macro SINCE_1970
103:
    SINCE_BOOT
    add rax, [rip + vdso_boot_time]
    cmp r8d, [rip + vdso_sequence]
    jne 103b
.endm

.balign 16
vdso_do_clock_gettime:
    cmp edi, 7
    ja 3f
    mov eax, 0xf3                                   # REALTIME, MONOTONIC, MONOTONIC_RAW, the COARSE ones, BOOTTIME
    bt eax, edi
    jnc 3f
1:  SINCE_BOOT
    mov ecx, 0x21                                   # REALTIME, REALTIME_COARSE
    bt ecx, edi
    jnc 2f
    add rax, [rip + vdso_boot_time]
2:  cmp r8d, [rip + vdso_sequence]
    jne 1b
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rsi], rax
    mov [rsi + 8], rdx
    xor eax, eax
    ret
3:  mov eax, 228
    syscall
    ret
vdso_end_clock_gettime:

.balign 16
vdso_do_gettimeofday:
    test rdi, rdi
    jz 1f
    SINCE_1970
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rdi], rax
    mov eax, edx
    xor edx, edx
    mov ecx, 1000
    div ecx
    mov [rdi + 8], rax
1:  test rsi, rsi
    jz 2f
    mov qword ptr [rsi], 0
2:  xor eax, eax
    ret
vdso_end_gettimeofday:

.balign 16
vdso_do_time:
    SINCE_1970
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    test rdi, rdi
    jz 1f
    mov [rdi], rax
1:  ret
vdso_end_time:

.balign 16
vdso_do_getcpu:
    cmp dword ptr [rip + vdso_has_rdtscp], 0
    je 3f
    rdtscp                                          # ecx is IA32_TSC_AUX, where the kernel has put the number
    test rdi, rdi
    jz 1f
    mov [rdi], ecx
1:  test rsi, rsi
    jz 2f
    mov dword ptr [rsi], 0                          # one node
2:  xor eax, eax
    ret
3:  mov eax, 309
    syscall
    ret
vdso_end_getcpu:

.balign 16
vdso_do_clock_getres:
    mov eax, 229
    syscall
    ret
vdso_end_clock_getres:

    # What the kernel fills in; `machine::vdso` knows the order. The sequence is odd while it changes.
.balign 64
.global vdso_data
vdso_data:
vdso_sequence: .long 0
vdso_has_rdtscp: .long 0
vdso_boot_ticks: .quad 0
vdso_ns_per_tick: .quad 0
vdso_boot_time: .quad 0
.global vdso_end
vdso_end:
.text
