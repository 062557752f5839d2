"""The training process: started by accelerate's launcher, told what to do by spec.json, heard
through events on stdout.
"""
