"""Study 4: how do sampling temperature and token choice spread a model's latent trajectory?

The latent of a completion is the strided mean of the residual stream over its generated tokens, pooled while decoding.

problem_set  collector          problems, prompts and what all collections of this study share
sampling_variance               how far completions of one prompt lie apart, by temperature, layer and length
path_sensitivity  attribution   the second most likely token instead of the first; which layers decided between them
answers  answer_worker          which answer a completion gives, and whether it is right
"""
