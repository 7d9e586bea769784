# Declarations of products.h.

cdef extern from "products.h":
    void prefetch "SKGD_PREFETCH"(const void* address) noexcept nogil
    void prefetch_near "SKGD_PREFETCH_NEAR"(const void* address) noexcept nogil
    double dot_float "skgd_dot_float"(
        const float* x, const double* w, Py_ssize_t n, const float* next) noexcept nogil
    double dot_double "skgd_dot_double"(
        const double* x, const double* w, Py_ssize_t n, const double* next
    ) noexcept nogil
    void add_float "skgd_add_float"(
        double* w, double factor, const float* x, Py_ssize_t n, const float* next
    ) noexcept nogil
    void add_double "skgd_add_double"(
        double* w, double factor, const double* x, Py_ssize_t n, const double* next
    ) noexcept nogil
    void scaled_add_float "skgd_scaled_add_float"(
        double* w, double factor, const double* scale, const float* x,
        Py_ssize_t n, const float* next) noexcept nogil
    void scaled_add_double "skgd_scaled_add_double"(
        double* w, double factor, const double* scale, const double* x,
        Py_ssize_t n, const double* next) noexcept nogil
    void add_squares_float "skgd_add_squares_float"(
        double* w, double factor, const float* x, const double* mean,
        Py_ssize_t n) noexcept nogil
    void add_squares_double "skgd_add_squares_double"(
        double* w, double factor, const double* x, const double* mean,
        Py_ssize_t n) noexcept nogil
    double norm_float "skgd_norm_float"(
        const float* x, double shift, const double* mean, const double* scale,
        Py_ssize_t n) noexcept nogil
    double norm_double "skgd_norm_double"(
        const double* x, double shift, const double* mean, const double* scale,
        Py_ssize_t n) noexcept nogil
    void mix_sparse "skgd_mix_sparse"(
        double* out, const double* w, const double* average, const double* seen,
        const double* ratio, const double* birth, double l2, double path, double past,
        double new, Py_ssize_t n) noexcept nogil
    int welford_float "skgd_welford_float"(
        const float* x, double weight, double total, double share, double noise,
        double* mean, double* square, double* left, double* row, double* scale,
        double* variance, Py_ssize_t n) noexcept nogil
    int welford_double "skgd_welford_double"(
        const double* x, double weight, double total, double share, double noise,
        double* mean, double* square, double* left, double* row, double* scale,
        double* variance, Py_ssize_t n) noexcept nogil
    void multiply_float "skgd_multiply_float"(
        const float** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* w, Py_ssize_t n_outputs, double* z) noexcept nogil
    void multiply_double "skgd_multiply_double"(
        const double** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* w, Py_ssize_t n_outputs, double* z) noexcept nogil
    void accumulate_float "skgd_accumulate_float"(
        const float** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* f, Py_ssize_t n_outputs, double* g) noexcept nogil
    void accumulate_double "skgd_accumulate_double"(
        const double** x, Py_ssize_t n_rows, Py_ssize_t n_ahead, Py_ssize_t n_features,
        const double* f, Py_ssize_t n_outputs, double* g) noexcept nogil
