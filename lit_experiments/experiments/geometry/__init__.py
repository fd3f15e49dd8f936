"""Study 4: how do sampling temperature and token choice spread a model's latent trajectory?

The latent of a completion is the strided mean of the residual stream over its generated tokens, pooled while decoding.

problem_set  collector          problems, prompts and the options that all collections of this study share
sampling_variance  variance_*   how far completions of one prompt lie apart, by temperature, layer and length
manifold*  oracle               how far completions lie from an oracle solution, and drift after beginning like it
path_*  attribution*            the second most likely token instead of the first; which layers decided between them
clustering*  partition          whether right solutions fall into groups; distinctness, judge*, judging: whether a judge
                                finds these to be different methods
answers  answer_worker          which answer a completion gives, and whether it is right
checked_completions             a store's rows with their completions checked
averages  stored_layers         averages with intervals, and layers, as all analyses take them
statements                      sentences and verdicts that the pages share

Of each experiment: NAME the collection, NAME_analysis the task, NAME_result what comes out, NAME_page how it is shown.
"""
