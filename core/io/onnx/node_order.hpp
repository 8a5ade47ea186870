// Brings the nodes of an ONNX graph into an order in which each comes after the nodes whose results it reads.
#pragma once

#include <onnx/onnx_pb.h>

namespace binade::importer {

/// Reorders the nodes where they are not sorted; sorted files stay as they are. Nodes that do not depend on each other
/// keep their order.
/// @throws DataError naming a node of a cycle
void sort_nodes(::onnx::GraphProto& graph);

}  // namespace binade::importer
