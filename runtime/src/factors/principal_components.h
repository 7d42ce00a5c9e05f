// Principal components of the rows of a table, and the rows nearest to each.
#pragma once

#include <cstdint>
#include <vector>

namespace kiln::runtime {

/// Row-major numbers.
struct Table {
    int64_t rows = 0, columns = 0;
    std::vector<double> values;
    const double *row(int64_t i) const { return values.data() + i * columns; }
};

struct Components {
    Table scores;                ///< [rows, components]: the rows, less their mean, along each direction
    std::vector<double> shares;  ///< of the variance, by component, falling
};

/// The first `count` principal components, fewer if the table has fewer columns. A direction is known but for its sign: its element of the
/// largest magnitude, the first of several, is made positive.
Components principal_components(const Table &table, int64_t count);

struct Neighbour {
    int64_t row = 0;
    double similarity = 0;
};

/// The `count` other rows most like a row, the most similar first, of equal ones the first: by the cosine of the angle between them; of
/// single numbers by their negated difference. A row of zeros has the cosine 0 with all.
std::vector<Neighbour> nearest_rows(const Table &table, int64_t row, int64_t count);

}  // namespace kiln::runtime
