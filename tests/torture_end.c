/* tests/torture_end.c - how a test program ends when an assertion fails under torture
 * (tools/torture, CMOCKA_TEST_ABORT=1).
 *
 * cmocka's way, a jump out of the test, forgets whatever the test owned at that moment, and every
 * such object would be reported as a leak.  Here the program ends where it stands: what the test
 * owns is still on its stack, and what is reported then was lost by the code under test. */
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <unistd.h>

#define LEAKED 99 /* tools/torture: SANITIZER_CODE */

static void end_here(int signal_number)
{
    (void)signal_number;
    _exit(__lsan_do_recoverable_leak_check() ? LEAKED : 1);
}

__attribute__((constructor)) static void install(void)
{
    (void)signal(SIGABRT, end_here);
}
