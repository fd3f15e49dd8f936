"""Study 3: what hidden states carry about the model's own answer and confidence.

prompts    the three passes' templates, rendered
letters    answer letters resolved to tokens in context, and the distribution over them
collect    the collector: one prefill per question and pass
export     .npy files per pass and layer
analysis   what the analyses share
probes, probe_data, probe_targets, probe_evaluation, scoring, twin, probes_result, probes_page
           train --exp introspection_probes
probe_files, pair_blocks        what the probes left, and blocks on pairs of states and target, for the next two
emergence                       analyze --exp introspection_probing
surface_control                 analyze --exp introspection_surface; what can be read off a question without a model
directions, separation, directions_report      analyze --exp introspection_directions
patching, patching_choice, _passes, _checks, _run, _statistics, _words, _report
           analyze --exp introspection_patching
self_other, alikeness, transfer, self_other_report      analyze --exp introspection_self_other
ridge      exact ridge on one layer's few hundred rows
summary    what `inspect` says of one store, and of two side by side
"""
