/* call/call_trace.c - see call_trace.h.
 *
 * An attempt on a call that goes on (a route asks another with it) has a record like a child's:
 * what the call does is told once. A child gets its id when it is over, or when one of its own
 * children is, whichever comes first: what nobody traces needs none. */
#include "call/call_trace.h"

#include "call/target.h"

#define STAMPS_MAX 12u

static struct trp_call *root_of(struct trp_call *call)
{
    while (call->parent)
        call = call->parent;
    return call;
}

bool trp_call_is_traced(const struct trp_call *call)
{
    while (call->parent)
        call = call->parent;
    return call->trace != 0;
}

/* Rows of its first input, where the model has such; 0: it is not known, or the question makes
 * no sense. */
static uint64_t rows_of(const struct trp_call *call)
{
    if (call->batch_key != 0)
        return call->batch_rows;
    const struct trp_signature *signature = trp_target_signature(call->target);
    for (uint32_t i = 0; signature && signature->batch_max > 0 && i < call->inputs_n; i++)
        if (call->inputs[i].tensor.data && call->inputs[i].tensor.rank > 0)
            return (uint64_t)call->inputs[i].tensor.shape[0];
    return 0;
}

/* NULL: the usual one. */
static const char *class_of(const struct trp_call *call)
{
    static const char *const names[] = { [TRP_PRIORITY_NORMAL] = NULL,
                                         [TRP_PRIORITY_INTERACTIVE] = "interactive",
                                         [TRP_PRIORITY_BATCH] = "batch" };
    return names[call->priority_class];
}

static void reach(struct trp_trace_stamp *reached, uint32_t *n, struct trp_trace_stamp stamp)
{
    if (stamp.at_ns)
        reached[(*n)++] = stamp;
}

/* The names of Triton's trace file. */
static uint32_t stamps_of(const struct trp_call *call, const struct trp_call_trace_way *way,
                          struct trp_trace_stamp *reached)
{
    static const struct {
        const char *name;
        enum trp_phase phase;
    } phases[] = {
        { "REQUEST_START", TRP_PHASE_DECODED },
        { "QUEUE_START", TRP_PHASE_QUEUED },
        { "COMPUTE_START", TRP_PHASE_RUN_START },
        { "COMPUTE_INPUT_END", TRP_PHASE_INPUT_END },
        { "COMPUTE_OUTPUT_START", TRP_PHASE_OUTPUT_START },
        { "COMPUTE_END", TRP_PHASE_RUN_END },
        { "REQUEST_END", TRP_PHASE_ENCODED },
    };
    uint32_t n = 0;
    for (uint32_t i = 0; way && i < ARRAY_LEN(way->in); i++)
        reach(reached, &n, way->in[i]);
    for (uint32_t i = 0; i < ARRAY_LEN(phases); i++)
        reach(reached, &n,
              (struct trp_trace_stamp){ phases[i].name, call->stamps_ns[phases[i].phase] });
    for (uint32_t i = 0; way && i < ARRAY_LEN(way->out); i++)
        reach(reached, &n, way->out[i]);
    return n;
}

static struct trp_trace_mail *open_letter(struct trp_trace *t, const struct trp_call *call,
                                          const struct trp_call *root,
                                          const struct trp_call_trace_way *way)
{
    struct trp_trace_stamp reached[STAMPS_MAX];
    const int64_t from_ns = call->stamps_ns[TRP_PHASE_ARRIVED];
    const struct trp_trace_record record = {
        .id = call->is_attempt ? trp_trace_number(t) : call->trace,
        .parent_id = call->is_attempt ? call->trace
                     : call->parent   ? call->parent->trace
                                      : 0,
        .step = call->is_attempt ? TRP_STR_LIT("attempt") : call->step_name,
        .rules = root->model,
        .model = call->target->name,
        .request_id = call->id,
        .version = call->target->version,
        .tenant = call->tenant,
        .priority = class_of(call),
        .rows = rows_of(call),
        .timeout_ns = call->deadline_ns != 0 ? call->deadline_ns - from_ns : 0,
        .stamps = reached,
        .stamps_n = stamps_of(call, way, reached),
    };
    struct trp_trace_mail *mail = trp_trace_open(t, &record);
    for (uint32_t i = 0; root->trace_tensors && i < call->inputs_n; i++)
        trp_trace_add(mail, "TENSOR_QUEUE_INPUT", call->inputs[i].name, &call->inputs[i].tensor);
    for (uint32_t i = 0; root->trace_tensors && i < call->outputs_n; i++)
        trp_trace_add(mail, "TENSOR_BACKEND_OUTPUT", call->outputs[i].name,
                      &call->outputs[i].tensor);
    return mail;
}

void trp_call_trace_step(struct trp_trace *t, struct trp_call *child)
{
    struct trp_call *root = root_of(child);
    if (root->trace == 0 || (root == child && !child->is_attempt))
        return;
    for (struct trp_call *c = child; c != root; c = c->parent)
        if (c->trace == 0)
            c->trace = trp_trace_number(t);
    trp_trace_collect(t, &root->trace_steps, open_letter(t, child, root, NULL));
}

void trp_call_trace_write(struct trp_trace *t, struct trp_call *call,
                          const struct trp_call_trace_way *way)
{
    struct trp_trace_mail *mail = open_letter(t, call, call, way);
    trp_trace_join(mail, &call->trace_steps);
    trp_trace_post(t, mail);
}
