# The way of an application processor from its start-up interrupt to long mode.
#
# A start-up IPI with vector 08h begins here in real mode at 0800:0000 (SDM volume 3, 9.4.4.1). machine::smp copies
# ap_trampoline..ap_trampoline_end to physical 8000h first, one CPU at a time, after it has put that CPU's stack into
# ap_stack. The tables are the boot CPU's first ones, with the identity map, and the kernel's upper half.
#
# Owner: machine::smp. Operands: {to_physical}, {trampoline}, {main}.

.section .rodata.ap, "a"
.global ap_trampoline
.global ap_trampoline_end
.code16
ap_trampoline:
    jmp ap_real

.balign 8
ap_gdt:
    .quad 0
    .quad 0x00cf9a000000ffff            # 32-bit code
    .quad 0x00cf92000000ffff            # data
    .quad 0x00209a0000000000            # 64-bit code
ap_gdt_pointer:
    .short ap_gdt_pointer - ap_gdt - 1
    .long ap_gdt - ap_trampoline + {trampoline}
.set ap_gdt_pointer_copy, ap_gdt_pointer - ap_trampoline + {trampoline}

ap_real:
    cli
    cld
    xor ax, ax
    mov ds, ax
    lgdt [ap_gdt_pointer_copy]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea                    # ljmp 0x08:ap_protected, 32-bit offset
    .long ap_protected - ap_trampoline + {trampoline}
    .short 0x08

.code32
ap_protected:
    mov ax, 0x10
    mov ds, ax
    mov ss, ax
    mov eax, cr4
    or eax, 1 << 5                      # PAE
    mov cr4, eax
    mov eax, offset boot_pml4 + {to_physical}
    mov cr3, eax
    mov ecx, 0xc0000080                 # EFER: SCE, LME, NXE
    rdmsr
    or eax, (1 << 0) | (1 << 8) | (1 << 11)
    wrmsr
    mov eax, cr0
    or eax, (1 << 31) | (1 << 16) | 1   # PG, WP, PE
    and eax, 0x9fffffff                 # caches on: clear CD and NW
    mov cr0, eax
    .byte 0xea                          # ljmp 0x18:ap_long
    .long ap_long - ap_trampoline + {trampoline}
    .short 0x18

.code64
ap_long:
    mov rsp, [ap_stack]
    xor ebp, ebp
    mov rax, offset {main}
    call rax
    ud2

ap_trampoline_end:

.section .bss.ap, "aw", @nobits
.balign 8
.global ap_stack
ap_stack: .skip 8
.text
