/* The Gaussian mixture's log-likelihood and its gradient, point by point as ADBench's hand-written C++ has it:
   for a point all components forward, the log-sum-exp, then all components in reverse. No array grows with n. */

#include <math.h>
#include <string.h>

static double prepare(int k, int d, const double *restrict alpha, const double *restrict icf, int n, double gamma,
                      int m, double *restrict diagonal, double *restrict constant, double *top, double *total)
{
    int h = d * (d + 1) / 2;
    double prior = 0.0;
    *top = -INFINITY;
    for (int j = 0; j < k; j++) {
        double logs = 0.0, squares = 0.0;
        for (int r = 0; r < d; r++) {
            double q = exp(icf[j * h + r]);
            diagonal[j * d + r] = q;
            squares += q * q;
            logs += icf[j * h + r];
        }
        for (int r = d; r < h; r++)
            squares += icf[j * h + r] * icf[j * h + r];
        constant[j] = alpha[j] + logs;
        prior += 0.5 * gamma * gamma * squares - m * logs;
        *top = fmax(*top, alpha[j]);
    }
    *total = 0.0;
    for (int j = 0; j < k; j++)
        *total += exp(alpha[j] - *top);
    return prior - n * (*top + log(*total)) - 0.5 * n * d * log(2.0 * M_PI);
}

/* scaled = Q (x - mu); the exponent of component j at the point x */
static inline double component(int d, const double *restrict diagonal, const double *restrict lower,
                               const double *restrict mu, const double *restrict x, double constant,
                               double *restrict centred, double *restrict scaled)
{
    for (int r = 0; r < d; r++)
        centred[r] = x[r] - mu[r];
    for (int r = 0; r < d; r++)
        scaled[r] = diagonal[r] * centred[r];
    for (int c = 0; c < d; c++) {
        double v = centred[c];
        for (int r = c + 1; r < d; r++)
            scaled[r] += *lower++ * v;
    }
    double squares = 0.0;
    for (int r = 0; r < d; r++)
        squares += scaled[r] * scaled[r];
    return constant - 0.5 * squares;
}

void gmm_value(int k, int d, int n, const double *restrict alpha, const double *restrict mu,
               const double *restrict icf, const double *restrict x, double gamma, int m, double *restrict work,
               double *restrict value)
{
    int h = d * (d + 1) / 2;
    double *diagonal = work, *centred = diagonal + k * d, *scaled = centred + k * d;
    double *constant = scaled + k * d, *exponent = constant + k;
    double top, total;
    double sum = prepare(k, d, alpha, icf, n, gamma, m, diagonal, constant, &top, &total);
    for (int i = 0; i < n; i++) {
        double largest = -INFINITY, part = 0.0;
        for (int j = 0; j < k; j++) {
            exponent[j] = component(d, diagonal + j * d, icf + j * h + d, mu + j * d, x + i * d, constant[j],
                                    centred, scaled);
            largest = fmax(largest, exponent[j]);
        }
        for (int j = 0; j < k; j++)
            part += exp(exponent[j] - largest);
        sum += largest + log(part);
    }
    *value = sum;
}

void gmm_gradient(int k, int d, int n, const double *restrict alpha, const double *restrict mu,
                  const double *restrict icf, const double *restrict x, double gamma, int m, double *restrict work,
                  double *restrict value, double *restrict d_alpha, double *restrict d_mu, double *restrict d_icf)
{
    int h = d * (d + 1) / 2;
    double *diagonal = work, *centred = diagonal + k * d, *scaled = centred + k * d;
    double *constant = scaled + k * d, *exponent = constant + k;
    double top, total;
    double sum = prepare(k, d, alpha, icf, n, gamma, m, diagonal, constant, &top, &total);
    for (int j = 0; j < k; j++) {
        d_alpha[j] = -n * exp(alpha[j] - top) / total;
        for (int r = 0; r < d; r++) {
            d_mu[j * d + r] = 0.0;
            d_icf[j * h + r] = gamma * gamma * diagonal[j * d + r] * diagonal[j * d + r] - m;
        }
        for (int r = d; r < h; r++)
            d_icf[j * h + r] = gamma * gamma * icf[j * h + r];
    }
    for (int i = 0; i < n; i++) {
        double largest = -INFINITY, part = 0.0;
        for (int j = 0; j < k; j++) {
            exponent[j] = component(d, diagonal + j * d, icf + j * h + d, mu + j * d, x + i * d, constant[j],
                                    centred + j * d, scaled + j * d);
            largest = fmax(largest, exponent[j]);
        }
        for (int j = 0; j < k; j++) {
            exponent[j] = exp(exponent[j] - largest);
            part += exponent[j];
        }
        sum += largest + log(part);
        for (int j = 0; j < k; j++) {
            double w = exponent[j] / part;
            double *restrict s = scaled + j * d, *restrict t = centred + j * d, *restrict dm = d_mu + j * d;
            double *restrict di = d_icf + j * h, *restrict dl = di + d;
            const double *restrict lower = icf + j * h + d;
            d_alpha[j] += w;
            for (int r = 0; r < d; r++) {
                s[r] *= w;
                di[r] += w - s[r] * t[r] * diagonal[j * d + r];
                dm[r] += s[r] * diagonal[j * d + r];
            }
            for (int c = 0; c < d; c++) {
                double v = t[c], a = 0.0;
                for (int r = c + 1; r < d; r++) {
                    a += *lower++ * s[r];
                    *dl++ -= v * s[r];
                }
                dm[c] += a;
            }
        }
    }
    *value = sum;
}
