#include "compiler/passes/products_in_updates.h"

#include "compiler/passes/update_rewriter.h"
#include "compiler/support/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

/// Gradients of fewer elements are stored: the caches keep them.
constexpr int64_t kLeastElements = 1 << 16;

/// A factor where the training graph stores it, in elements of the arena of gradients.
struct Factor {
    int64_t begin = 0;
    Type type;
    int64_t end() const { return begin + type.elements(); }
    std::string place() const { return fmt::format("gradient[{}:{}]", begin, end()); }
};

/// A parameter whose gradient is a product.
struct Product {
    const Storage *param = nullptr;
    NodeId node;  ///< in the training graph
    Factor factors[2];
};

int uses_of(const Graph &graph, NodeId id) {
    int uses = 0;
    for (const Node &node : graph.nodes) uses += int(std::count(node.operands.begin(), node.operands.end(), id));
    for (const Result &result : graph.results) uses += result.value == id;
    return uses;
}

std::vector<Product> find_products(const Module &module, const Graph &train) {
    std::vector<Product> products;
    for (const Result &result : train.results) {
        if (result.kind != ResultKind::store || !result.name.starts_with("gradient:")) continue;
        const Storage *param = module.find_storage(result.name.substr(std::string("gradient:").size()));
        const Node &node = train[result.value];
        if (!param || node.op != Op::matmul || node.type != param->type || node.type.rank() != 2 || node.type.elements() < kLeastElements || uses_of(train, result.value) > 1) continue;
        Product product{param, result.value, {}};
        int64_t begin = param->offset;
        for (size_t i = 0; i < 2; ++i) {
            const Type &type = train[node.operands[i]].type;
            product.factors[i] = {begin, type};
            begin += aligned_in_arena(type.elements());
        }
        const bool fits = begin <= param->offset + aligned_in_arena(param->type.elements());
        const bool same_type = product.factors[0].type.dtype == param->type.dtype && product.factors[1].type.dtype == param->type.dtype;
        if (fits && same_type) products.push_back(product);
    }
    return products;
}

class ProductsInUpdate : public UpdateRewriter {
public:
    ProductsInUpdate(const Module &module, const Graph &train, const Graph &update, const std::vector<Product> &products, std::vector<Region> regions)
        : UpdateRewriter(module, update, std::move(regions)), train_(train), products_(products) {}

private:
    const Product *product_of(const Storage &param) const {
        const auto product = std::find_if(products_.begin(), products_.end(), [&](const Product &p) { return p.param->path == param.path; });
        return product == products_.end() ? nullptr : &*product;
    }

    bool takes_out(const Region &, const Storage &param) const override { return product_of(param); }
    NodeId new_value(const Region &region, const Storage &param, NodeId value) override { return instance({&param}, region, value); }
    Shape shape_of_view(const Piece &piece) const override { return piece.param->type.shape; }

    NodeId input_of_view(const Piece &piece, const std::string &arena, const Type &type) override {
        if (arena != "gradient") return input(InputKind::storage, stored_at(arena, *piece.param).path, type);
        const Product &product = *product_of(*piece.param);
        const Node &node = train_[product.node];
        enter(node);
        NodeId factors[2];
        for (size_t i = 0; i < 2; ++i) {
            const Factor &factor = product.factors[i];
            factors[i] = builder().reshape(input(InputKind::arena, factor.place(), {factor.type.dtype, {factor.type.elements()}}), factor.type.shape);
        }
        return builder().append(Op::matmul, {factors[0], factors[1]}, node.attrs);
    }

    const Graph &train_;
    const std::vector<Product> &products_;
};

void rewrite_products(Module &module, const std::string &name) {
    const Graph train = module.graphs.at(name);
    std::map<std::string, std::vector<Region>> regions;
    for (const std::string &update : updates_after(module, name)) regions[update] = find_regions(module, module.graphs.at(update));
    if (regions.empty()) return;
    std::vector<Product> products = find_products(module, train);
    std::erase_if(products, [&](const Product &product) {
        return std::any_of(regions.begin(), regions.end(), [&](const auto &entry) {
            const auto &[update, found] = entry;
            auto is_updated = [&](const Region &region) { return region.place.overlaps(*product.param); };
            auto stores_gradient = [](const Result &result) { return result.kind == ResultKind::store && result.name.starts_with("gradient"); };
            const Graph &graph = module.graphs.at(update);
            return std::none_of(found.begin(), found.end(), is_updated) || std::any_of(graph.results.begin(), graph.results.end(), stores_gradient) ||
                   needs_dense_gradient(module, graph, found, *product.param);
        });
    });
    if (products.empty()) return;
    for (const auto &[update, found] : regions) {
        Graph rewritten = ProductsInUpdate(module, train, module.graphs.at(update), products, found).run();
        module.graphs[update] = std::move(rewritten);
    }
    Graph &graph = module.graphs[name];
    Builder builder(graph);
    for (const Product &product : products) {
        const auto stored = std::find_if(graph.results.begin(), graph.results.end(), [&](const Result &result) { return result.name == "gradient:" + product.param->path; });
        KILN_CHECK(stored != graph.results.end(), "no gradient of `{}` is stored", product.param->path);
        auto at = graph.results.erase(stored);
        for (size_t i = 0; i < 2; ++i) {
            const Factor &factor = product.factors[i];
            const NodeId operand = graph[product.node].operands[i];
            builder.set_loc(graph[operand].loc);
            builder.set_scope(graph[operand].scope);
            at = graph.results.insert(at, {ResultKind::store, factor.place(), builder.reshape(operand, {factor.type.elements()})}) + 1;
        }
    }
}

}  // namespace

Module with_products_in_updates(const Module &module) {
    Module result = module;
    for (const auto &[name, graph] : module.graphs)
        if (is_graph_of(name, "train")) rewrite_products(result, name);
    return result;
}

}  // namespace kiln
