/* fiber_switch for x86-64 (System V ABI): six callee-saved registers and the return address.
 *
 *   saved stack, from the stack pointer up:  r15 r14 r13 r12 rbx rbp return-address
 *
 * A fresh stack begins in `start` with the entry in r12 and its argument in r13. `start` marks
 * itself as the outermost frame, so that debuggers and unwinders stop there. It is entered behind
 * its first instruction: they take what a frame returns to for what follows a call in it.
 *
 * A CPU predicts where `ret` leads from the calls before it. A fiber that runs to its end without a
 * switch is therefore entered by a jump, and left by the `ret` that belongs to its starter's call:
 * all of its starter's returns are then predicted. */
    .text

    .macro LOAD_REGISTERS
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    .endm

    .globl fiber_switch
    .hidden fiber_switch
    .type fiber_switch, @function
    .align 16
fiber_switch:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    LOAD_REGISTERS
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    jmpq *%rcx
    .cfi_endproc
    .size fiber_switch, . - fiber_switch

    .globl fiber_switch_load
    .hidden fiber_switch_load
    .type fiber_switch_load, @function
    .align 16
fiber_switch_load:
    .cfi_startproc
    .cfi_def_cfa_offset 56
    .cfi_offset %rbp, -16
    .cfi_offset %rbx, -24
    .cfi_offset %r12, -32
    .cfi_offset %r13, -40
    .cfi_offset %r14, -48
    .cfi_offset %r15, -56
    movq %rdi, %rsp
    LOAD_REGISTERS
    ret
    .cfi_endproc
    .size fiber_switch_load, . - fiber_switch_load

    .globl fiber_switch_prepare
    .hidden fiber_switch_prepare
    .type fiber_switch_prepare, @function
    .align 16
fiber_switch_prepare:
    .cfi_startproc
    leaq start+1(%rip), %rax
    movq $0, -8(%rdi)           /* end of the frame-pointer chain */
    movq %rax, -16(%rdi)        /* return address */
    movq $0, -24(%rdi)          /* rbp */
    movq $0, -32(%rdi)          /* rbx */
    movq %rsi, -40(%rdi)        /* r12: entry */
    movq %rdx, -48(%rdi)        /* r13: argument */
    movq $0, -56(%rdi)          /* r14 */
    movq $0, -64(%rdi)          /* r15 */
    leaq -64(%rdi), %rax
    ret
    .cfi_endproc
    .size fiber_switch_prepare, . - fiber_switch_prepare

    .type start, @function
    .align 16
start:
    .cfi_startproc
    .cfi_undefined %rip
    nop
    subq $8, %rsp               /* rsp was top - 8: aligned to 16 before the call */
    movq %r13, %rdi
    xorl %ebp, %ebp
    callq *%r12
    movq %rax, %rdi
    jmp fiber_switch_load
    .cfi_endproc
    .size start, . - start

    .section .note.GNU-stack, "", @progbits
