/* The first instructions: headers for Multiboot2 and PVH, their common 32-bit entry, Limine's 64-bit entry.
 *
 * All paths end in `boot_start(protocol, info)` on the boot stack in the upper half. The 32-bit entries run
 * with temporary tables: the first 4 GiB at 0, at the direct map's place and (1 GiB) at -2 GiB.
 * Sources: Multiboot2 specification 2.0, 3.1; Xen's docs/misc/pvh.pandoc; Limine PROTOCOL.md.
 */
.set VMA, 0xffffffff80000000

.section .multiboot2, "a"
.balign 8
multiboot2_header:
    .long 0xe85250d6
    .long 0                                         /* i386, protected mode */
    .long multiboot2_header_end - multiboot2_header
    .long -(0xe85250d6 + 0 + (multiboot2_header_end - multiboot2_header))
    .balign 8
    .short 3, 0                                     /* entry address */
    .long 12
    .long multiboot2_entry - VMA
    .balign 8
    .short 6, 0                                     /* modules on page boundaries */
    .long 8
    .balign 8
    .short 5, 1                                     /* framebuffer, if there is one; GRUB prefers this to gfxpayload */
    .long 20
    .long 1024, 768, 32
    .balign 8
    .short 0, 0                                     /* end */
    .long 8
multiboot2_header_end:

.section .note.pvh, "a", @note
.balign 4
    .long 4, 8, 18                                  /* name and description lengths, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .balign 4
    .quad pvh_entry - VMA
    .balign 4

.section .boot.text, "ax"
.code32
multiboot2_entry:
    cld
    cli
    mov esi, ebx                                    /* information structure */
    mov edi, 1
    cmp eax, 0x36d76289
    je start32
    mov edi, 0
    jmp start32
pvh_entry:
    cld
    cli
    mov esi, ebx
    mov edi, 2
start32:
    mov esp, offset boot_stack_top - VMA

    /* Four page directories map 4 GiB by 2 MiB pages. */
    xor ecx, ecx
    mov eax, 0x83
2:  mov [boot_directories - VMA + ecx*8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 2b
    mov eax, offset boot_directories - VMA + 3
    mov [boot_low - VMA], eax
    mov [boot_high - VMA + 510*8], eax
    add eax, 4096
    mov [boot_low - VMA + 8], eax
    mov [boot_high - VMA + 511*8], eax
    add eax, 4096
    mov [boot_low - VMA + 16], eax
    add eax, 4096
    mov [boot_low - VMA + 24], eax
    mov eax, offset boot_low - VMA + 3
    mov [boot_root - VMA], eax
    mov [boot_root - VMA + 256*8], eax
    mov eax, offset boot_high - VMA + 3
    mov [boot_root - VMA + 511*8], eax

    mov eax, offset boot_root - VMA
    mov cr3, eax
    mov eax, cr4
    or eax, 0x20                                    /* PAE */
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x900                                   /* LME, NXE */
    wrmsr
    mov eax, cr0
    or eax, 0x80010001                              /* PG, WP, PE */
    mov cr0, eax
    lgdt [boot_gdt_pointer - VMA]
    push 8
    mov eax, offset start64 - VMA
    push eax
    retf
.code64
start64:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    movabs rax, offset start_high
    jmp rax
.type start_high, @function
start_high:
    .cfi_startproc
    .cfi_undefined rip
    movabs rsp, offset boot_stack_top
    mov edi, edi
    mov esi, esi
    xor ebp, ebp
    movabs rax, offset boot_start
    call rax
3:  hlt
    jmp 3b
    .cfi_endproc

.global limine_entry
.type limine_entry, @function
limine_entry:
    .cfi_startproc
    .cfi_undefined rip
    cld
    cli
    xor eax, eax
    mov fs, ax
    mov gs, ax
    movabs rsp, offset boot_stack_top
    mov edi, 3
    xor esi, esi
    xor ebp, ebp
    movabs rax, offset boot_start
    call rax
4:  hlt
    jmp 4b
    .cfi_endproc

.balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
boot_gdt_pointer:
    .short 23
    .long boot_gdt - VMA

.section .bss
.balign 4096
boot_root:        .skip 4096
boot_low:         .skip 4096
boot_high:        .skip 4096
boot_directories: .skip 4 * 4096
.global boot_stack
boot_stack:       .skip 65536
.global boot_stack_top
boot_stack_top:
