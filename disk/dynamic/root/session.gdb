# A session with /usr/bin/debuggee: breakpoints, threads, a watchpoint of the CPU's, steps, a call, a signal, system calls.
set pagination off
set confirm off
break add
run
backtrace 2
info threads
finish
watch counter
continue
delete
handle SIGUSR1 stop print
hbreak on_signal
continue
continue
print number
print add(40, 2)
stepi
delete
catch syscall 231
continue
print counter
kill
