/* SPDX-License-Identifier: ISC
 * Time. Monotonic microseconds for every deadline and measurement; wall clock only for showing.
 */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define US_PER_MS 1000u
#define US_PER_S  1000000u

/* Monotonic microseconds since some fixed point; never goes back. Any thread. */
static inline uint64_t clock_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000u;
}

/* Unix time in microseconds. Any thread. */
static inline uint64_t clock_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000u;
}

#endif
