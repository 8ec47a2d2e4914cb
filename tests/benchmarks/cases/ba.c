/* Bundle adjustment, observation by observation, as ADBench's hand-written C++ has it: rotation, projection, distortion
   and the partials of the two residuals, the camera's sine and cosine computed for each observation. */

#include <math.h>
#include <stdint.h>

static inline void turning(const double *restrict r, double R[3][3], double J[3][3])
{
    double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], theta = sqrt(square);
    double a = 1.0, b = 0.5, c = 1.0 / 6.0;
    if (theta > 0.0) {
        a = sin(theta) / theta;
        b = (1.0 - cos(theta)) / square;
        c = (1.0 - a) / square;
    }
    double K[3][3] = {{0.0, -r[2], r[1]}, {r[2], 0.0, -r[0]}, {-r[1], r[0], 0.0}};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double s = r[i] * r[j] - (i == j ? square : 0.0), one = i == j ? 1.0 : 0.0;
            R[i][j] = one + a * K[i][j] + b * s;
            J[i][j] = one - b * K[i][j] + c * s;
        }
}

/* partials by rotation, centre and point of a residual whose partials by the turned point are g */
static inline void row(double *restrict out, double gx, double gy, double gz, double R[3][3], double J[3][3],
                       double px, double py, double pz)
{
    double qx = R[0][0] * gx + R[1][0] * gy + R[2][0] * gz;
    double qy = R[0][1] * gx + R[1][1] * gy + R[2][1] * gz;
    double qz = R[0][2] * gx + R[1][2] * gy + R[2][2] * gz;
    double tx = py * qz - pz * qy, ty = pz * qx - px * qz, tz = px * qy - py * qx;
    for (int j = 0; j < 3; j++)
        out[j] = tx * J[0][j] + ty * J[1][j] + tz * J[2][j];
    out[3] = -qx;
    out[4] = -qy;
    out[5] = -qz;
    out[11] = qx;
    out[12] = qy;
    out[13] = qz;
}

void ba_jacobian(int p, const double *restrict cameras, const double *restrict points, const double *restrict w,
                 const double *restrict seen, const int64_t *restrict camera_of, const int64_t *restrict point_of,
                 double *restrict residuals, double *restrict errors, double *restrict values, int reverse)
{
    for (int64_t i = 0; i < p; i++) {
        const double *restrict c = cameras + 11 * camera_of[i], *restrict X = points + 3 * point_of[i];
        double R[3][3], J[3][3];
        turning(c, R, J);
        double px = X[0] - c[3], py = X[1] - c[4], pz = X[2] - c[5];
        double inverse = 1.0 / (R[2][0] * px + R[2][1] * py + R[2][2] * pz);
        double u = (R[0][0] * px + R[0][1] * py + R[0][2] * pz) * inverse;
        double v = (R[1][0] * px + R[1][1] * py + R[1][2] * pz) * inverse;
        double f = c[6], k1 = c[9], k2 = c[10], r = u * u + v * v, scale = 1.0 + k1 * r + k2 * r * r;
        double du = u * scale, dv = v * scale;
        double eu = f * du + c[7] - seen[2 * i], ev = f * dv + c[8] - seen[2 * i + 1];
        residuals[2 * i] = w[i] * eu;
        residuals[2 * i + 1] = w[i] * ev;
        errors[i] = 1.0 - w[i] * w[i];
        if (!reverse)
            continue;
        double wf = w[i] * f, slope = 2.0 * (k1 + 2.0 * k2 * r);
        double uu = wf * (scale + slope * u * u), uv = wf * slope * u * v, vv = wf * (scale + slope * v * v);
        double *restrict first = values + 30 * i, *restrict second = first + 15;
        row(first, uu * inverse, uv * inverse, -(uu * u + uv * v) * inverse, R, J, px, py, pz);
        row(second, uv * inverse, vv * inverse, -(uv * u + vv * v) * inverse, R, J, px, py, pz);
        first[6] = w[i] * du, first[7] = w[i], first[8] = 0.0;
        first[9] = wf * u * r, first[10] = wf * u * r * r, first[14] = eu;
        second[6] = w[i] * dv, second[7] = 0.0, second[8] = w[i];
        second[9] = wf * v * r, second[10] = wf * v * r * r, second[14] = ev;
        values[30 * (int64_t)p + i] = -2.0 * w[i];
    }
}
