"""Study 2: does text that the model itself would write move its activations more smoothly than human text?

paragraph_split  paragraphs split into prompt and human continuation, tokenised once; what does not fit, counted
conditions   human, model, model-tempXX, shuffled: names and which pairs are compared
readings     the texts to read: made from split paragraphs, generated, or taken from another run
generations  another run's texts, checked to be what was asked for
read         one prefill per text: which model reads, what a row holds
collect      the collector: which texts, generated where needed, then read
formulas     smoothness, magnitude, directional consistency from one trajectory; sink tokens
trajectories a store read row by row into numbers per token
contrasts    paired statistics between conditions and between readers
surprise     correlations of cross-entropy with smoothness at three levels; tokens that move most
interpretation  the sentences that the numbers choose
analysis, findings, levels, readers, repetition; page, tables, figures, result_files      analyze --exp prefill_dynamics
summary      what `inspect` says of one store, and of two side by side
"""
