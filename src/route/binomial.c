/* route/binomial.c - see binomial.h. */
#include "route/binomial.h"

#include <math.h>

/* log of n! by Stirling's series; libm's lgamma() writes a global. */
static double log_factorial(double n)
{
    double shift = 0;
    while (n < 16) { /* where the series is exact enough */
        n += 1;
        shift += log(n);
    }
    const double x = n + 1;
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 + 1 / (12 * x) - 1 / (360 * x * x * x) +
           1 / (1260 * x * x * x * x * x) - shift;
}

static double log_term(double n, double p, double k)
{
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k) + k * log(p) +
           (n - k) * log1p(-p);
}

double trp_binomial_tail(uint64_t n, double p, uint64_t hits)
{
    const double trials = (double)n;
    if (hits == 0)
        return 1;
    if (hits > n || p <= 0)
        return 0;
    if (p >= 1)
        return 1;
    if ((double)hits <= trials * p)
        return 0.5; /* no more than is to be expected: nobody asks by how much */
    double term = exp(log_term(trials, p, (double)hits)), sum = term;
    for (double k = (double)hits; k < trials && term > sum * 1e-12; k++) {
        term *= (trials - k) / (k + 1) * (p / (1 - p));
        sum += term;
    }
    return sum < 1 ? sum : 1;
}

double trp_binomial_compare(uint64_t a_n, uint64_t a_hits, uint64_t b_n, uint64_t b_hits)
{
    if (a_n == 0 || b_n == 0)
        return 1;
    return trp_binomial_tail(a_hits + b_hits, (double)a_n / ((double)a_n + (double)b_n), a_hits);
}
