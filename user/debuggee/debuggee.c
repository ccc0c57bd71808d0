// A program for the debuggers of the dynamic image: two threads that add to a counter by turns, and a signal for itself.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static volatile int counter;
static pthread_barrier_t turn;

static int add(int a, int b)
{
    return a + b;
}

static void *work(void *mine)
{
    int number = *(const int *)mine;
    for (int i = 1; i <= 2; i++) {
        pthread_barrier_wait(&turn);
        if (i == number)
            counter = add(counter, number);
        pthread_barrier_wait(&turn);
    }
    return 0;
}

static void on_signal(int number)
{
    counter = add(counter, number);
}

int main(void)
{
    int numbers[] = {1, 2};
    pthread_t threads[2];
    signal(SIGUSR1, on_signal);
    pthread_barrier_init(&turn, 0, 2);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], 0, work, &numbers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], 0);
    raise(SIGUSR1);
    printf("the counter is %d\n", counter);
    return counter == 13 ? 0 : 1;
}
