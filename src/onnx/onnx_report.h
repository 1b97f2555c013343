/* onnx/onnx_report.h - a model file in words.
 * Answers "what should somebody see who asks what is in this file?".  Text with aligned columns for
 * people, JSON for programs; both say the same. */
#ifndef TRP_ONNX_REPORT_H
#define TRP_ONNX_REPORT_H

#include "base/buf.h"
#include "onnx/onnx_reader.h"

/* Appends the report of a model that was read whole.  Names from the file are made harmless for a
 * terminal (text) or escaped (JSON).  The JSON is one object and a line end, with the keys path,
 * bytes, ir_version, model_version, producer, producer_version, domain, doc, graph, graph_doc,
 * opsets, inputs, outputs, nodes, subgraphs, functions, operators, parameters (by_place, by_type),
 * external_files, hazards_total, hazards, metadata; all are always there.
 *   Units : sizes in bytes; text shows large ones in KiB, MiB, GiB as well.
 *   Owns  : copied into `b`; `model` and `path` are borrowed.
 *   Thread: any.
 *   Errors: see b->failed. */
void trp_onnx_report_text(const struct trp_onnx_model *model, struct trp_str path,
                          struct trp_buf *b);
void trp_onnx_report_json(const struct trp_onnx_model *model, struct trp_str path,
                          struct trp_buf *b);

#endif
