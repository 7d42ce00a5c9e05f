#include "factors/principal_components.h"

#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>

namespace kiln::runtime {

Components principal_components(const Table &table, int64_t count) {
    using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    Matrix x = Eigen::Map<const Matrix>(table.values.data(), table.rows, table.columns);
    x.rowwise() -= x.colwise().mean().eval();
    const Eigen::MatrixXd covariance = x.transpose() * x / double(std::max<int64_t>(table.rows - 1, 1));
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);  // eigenvalues ascending
    const double total = covariance.trace();

    Components result;
    count = std::min(count, table.columns);
    result.scores = {table.rows, count, std::vector<double>(size_t(table.rows * count))};
    for (int64_t k = 0; k < count; ++k) {
        Eigen::VectorXd direction = solver.eigenvectors().col(table.columns - 1 - k);
        Eigen::Index largest = 0;
        direction.cwiseAbs().maxCoeff(&largest);
        if (direction[largest] < 0) direction = -direction;
        const Eigen::VectorXd scores = x * direction;
        for (int64_t row = 0; row < table.rows; ++row) result.scores.values[size_t(row * count + k)] = scores[row];
        result.shares.push_back(total > 0 ? std::max(0.0, solver.eigenvalues()[table.columns - 1 - k]) / total : 0);
    }
    return result;
}

namespace {

double similarity(const Table &table, int64_t a, int64_t b) {
    const double *x = table.row(a), *y = table.row(b);
    if (table.columns == 1) return -std::abs(x[0] - y[0]);
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < table.columns; ++i) {
        xy += x[i] * y[i];
        xx += x[i] * x[i];
        yy += y[i] * y[i];
    }
    return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace

std::vector<Neighbour> nearest_rows(const Table &table, int64_t row, int64_t count) {
    std::vector<Neighbour> all;
    for (int64_t other = 0; other < table.rows; ++other)
        if (other != row) all.push_back({other, similarity(table, row, other)});
    count = std::min(count, int64_t(all.size()));
    std::partial_sort(all.begin(), all.begin() + count, all.end(),
                      [](const Neighbour &a, const Neighbour &b) { return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row; });
    all.resize(size_t(count));
    return all;
}

}  // namespace kiln::runtime
