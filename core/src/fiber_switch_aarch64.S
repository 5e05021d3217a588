/* fiber_switch for AArch64 (AAPCS64): x19-x30 and the low halves of v8-v15.
 *
 * A fresh stack begins in `start` with the entry in x19 and its argument in x20. `start` marks
 * itself as the outermost frame, so that debuggers and unwinders stop there. It is entered behind
 * its first instruction: they take what a frame returns to for what follows a call in it.
 *
 * Fibers are entered by a jump, and left at their end by `ret`: see fiber_switch_x86_64.S. */
#define FRAME_BYTES 160

    .text

    .macro LOAD_REGISTERS
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #FRAME_BYTES
    .cfi_adjust_cfa_offset -FRAME_BYTES
    .cfi_restore x29
    .cfi_restore x30
    .endm

    .globl fiber_switch
    .hidden fiber_switch
    .type fiber_switch, %function
    .align 4
fiber_switch:
    .cfi_startproc
    sub sp, sp, #FRAME_BYTES
    .cfi_adjust_cfa_offset FRAME_BYTES
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    LOAD_REGISTERS
    br x30
    .cfi_endproc
    .size fiber_switch, . - fiber_switch

    .globl fiber_switch_load
    .hidden fiber_switch_load
    .type fiber_switch_load, %function
    .align 4
fiber_switch_load:
    .cfi_startproc
    .cfi_def_cfa_offset FRAME_BYTES
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    mov sp, x0
    LOAD_REGISTERS
    ret
    .cfi_endproc
    .size fiber_switch_load, . - fiber_switch_load

    .globl fiber_switch_prepare
    .hidden fiber_switch_prepare
    .type fiber_switch_prepare, %function
    .align 4
fiber_switch_prepare:
    .cfi_startproc
    sub x9, x0, #FRAME_BYTES
    stp x1, x2, [x9, #0]        /* x19: entry, x20: argument */
    stp xzr, xzr, [x9, #16]
    stp xzr, xzr, [x9, #32]
    stp xzr, xzr, [x9, #48]
    stp xzr, xzr, [x9, #64]
    adr x10, start + 4
    stp xzr, x10, [x9, #80]     /* x29: end of the frame-pointer chain, x30 */
    stp xzr, xzr, [x9, #96]
    stp xzr, xzr, [x9, #112]
    stp xzr, xzr, [x9, #128]
    stp xzr, xzr, [x9, #144]
    mov x0, x9
    ret
    .cfi_endproc
    .size fiber_switch_prepare, . - fiber_switch_prepare

    .type start, %function
    .align 4
start:
    .cfi_startproc
    .cfi_undefined x30
    nop
    mov x0, x20
    blr x19
    b fiber_switch_load
    .cfi_endproc
    .size start, . - start

    .section .note.GNU-stack, "", %progbits
