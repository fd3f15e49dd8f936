"""Study 3: what hidden states carry about the model's own answer and confidence.

prompts    the three passes' templates, rendered
letters    answer letters resolved to tokens in context, and the distribution over them
samples, pass_collector   which questions are asked in which passes, and their prompts
collect, schema   the collector: one prefill per question and pass; what a row holds
export     .npy files per pass and layer
passes     what the analyses read: whole questions, rows by pass, states, finished results
answer_scores, summary    scores of the answers; what `inspect` says of one store, and of two side by side
probes, probe_data, probe_targets, held_out, probe_evaluation, scoring, twin, probes_result, probes_page
           train --exp introspection_probes
probe_files, pair_blocks        what the probes left, and what the pages of its analyses share
emergence/      analyze --exp introspection_probing: where in the model a target becomes readable
surface_control/        analyze --exp introspection_surface; what can be read off a question without a model
directions/     analyze --exp introspection_directions: from low to high confidence, saved for steering
patching/       analyze --exp introspection_patching: interventions on the model
self_other/     analyze --exp introspection_self_other: likeness of the passes, transfer of a probe
compare/        analyze --exp introspection_compare: base against finetuned
ridge      exact ridge on one layer's few hundred rows
"""
