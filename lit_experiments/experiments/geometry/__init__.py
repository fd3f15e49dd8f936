"""Study 4: how do sampling temperature and token choice spread a model's latent trajectory?

The latent of a completion is the strided mean of the residual stream over its generated tokens, pooled while decoding.

problem_set  collector          problems, prompts and what all collections of this study share
sampling_variance               how far completions of one prompt lie apart, by temperature, layer and length
path_sensitivity  attribution   the second most likely token instead of the first; which layers decided between them
manifold  oracle                how far completions lie from an oracle solution, and drift after beginning like it
clustering  partition           whether right solutions fall into groups; distinctness, judge*: whether a judge finds
                                these to be different methods
answers  answer_worker  solved  which answer a completion gives, whether it is right, analyses of right and wrong ones
"""
