# Serves a GGUF model the OpenAI way until standard input ends; says where on standard output.
import sys

packages, weights, key = sys.argv[1:4]
sys.path.insert(0, packages)
import xllamacpp

settings = xllamacpp.CommonParams()
settings.model.path = weights
settings.hostnames = ["127.0.0.1"]
settings.port = 0
settings.api_keys = [key]
settings.n_ctx = 2048
settings.n_parallel = 1
settings.n_gpu_layers = 0
settings.embedding = True
settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(settings)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
